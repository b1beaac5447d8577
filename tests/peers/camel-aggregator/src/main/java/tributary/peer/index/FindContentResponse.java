package tributary.peer.index;

import jakarta.xml.bind.annotation.XmlElement;
import jakarta.xml.bind.annotation.XmlType;
import java.util.ArrayList;
import java.util.List;
import tributary.peer.engagements.Engagement;

/** What the index knows. */
@XmlType(name = "FindContentResponseType", propOrder = {"engagements"})
public class FindContentResponse {
    @XmlElement(name = "engagement")
    public List<Engagement> engagements = new ArrayList<>();
}
